from django.urls import path, re_path

from .views import cart, catalog, checkout, info, orders, returns

ORDER = r"^orders/(?P<token>[0-9a-f]{32})"

urlpatterns = [
    path("", catalog.home, name="home"),
    path("shop/", catalog.product_list, name="product_list"),
    path("c/<slug:slug>/", catalog.category, name="category"),
    path("p/<slug:slug>/", catalog.product, name="product"),
    path("cart/", cart.cart, name="cart"),
    path("cart/add/", cart.cart_add, name="cart_add"),
    path("cart/lines/<int:line_id>/", cart.cart_line, name="cart_line"),
    path("checkout/", checkout.checkout, name="checkout"),
    path("orders/find/", orders.order_find, name="order_find"),
    re_path(rf"{ORDER}/$", orders.order, name="order"),
    re_path(rf"{ORDER}/pay/$", orders.order_pay, name="order_pay"),
    re_path(rf"{ORDER}/cancel/$", orders.order_cancel, name="order_cancel"),
    re_path(rf"{ORDER}/return/$", orders.order_return, name="order_return"),
    re_path(rf"{ORDER}/returns/$", returns.order_returns, name="order_returns"),
    re_path(rf"{ORDER}/returns/(?P<number>\d{{1,4}})/withdraw/$", returns.return_withdraw, name="return_withdraw"),
    path("info/<slug:page>/", info.info, name="info"),
    path("health/warm", info.warm, name="health_warm"),
    path("robots.txt", info.robots, name="robots"),
    path(".well-known/security.txt", info.security, name="security_txt"),
]
