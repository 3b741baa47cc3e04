"""Login of a mini-program's users through WeChat."""
