"""Stream drivers, monitors and pauses for test benches, of ours and of people who import our components."""
