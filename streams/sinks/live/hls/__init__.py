"""HTTP Live Streaming with low latency: fragments of MP4 as they come (RFC 8216bis)."""
