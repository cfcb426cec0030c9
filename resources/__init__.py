"""What the stock tools change: files, rows and other servers, each under fenced keys."""
