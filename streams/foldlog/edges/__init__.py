"""Where other systems meet a context: HTTP, RabbitMQ, webhooks."""
