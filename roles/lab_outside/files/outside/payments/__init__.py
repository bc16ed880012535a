"""A strict stand-in for Stripe's PaymentIntents API, its webhooks and its hosted card form."""
