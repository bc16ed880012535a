"""Settings of the tiny release's server."""

wsgi_app = "shop:application"
workers = 2
threads = 4
