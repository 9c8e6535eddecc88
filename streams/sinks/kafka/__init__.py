"""Events into a topic of Kafka."""
