"""What the tests make: real files and real servers on loopback."""
