"""Where the law wants a request: a pre-filled one, accepted with one tap or by letter; nothing is kept of a no."""
