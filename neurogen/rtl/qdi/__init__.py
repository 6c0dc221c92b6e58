"""The 44 blocks of `neurogen.spec.qdi` as clocked components: handshakes as valid/ready streams."""
