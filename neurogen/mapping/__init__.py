"""From a network and a configuration to programs, memory images and the streams between them."""
