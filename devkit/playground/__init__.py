"""Live captions in a browser: a page, the WebSocket it talks to, and a graph with our extension for each recording."""
