"""What is served to programs and browsers on this machine: the one place for a web server's libraries."""
