"""Pages: each is there in every language, under the language's prefix."""

from django.urls import path, re_path

from .views import (
    cart,
    catalog,
    checkout,
    compare,
    coupons,
    info,
    installing,
    lists,
    orders,
    returns,
    reviews,
    wishlist,
)

ORDER = r"^orders/(?P<token>[0-9a-f]{32})"

urlpatterns = [
    path("", catalog.home, name="home"),
    path("shop/", lists.product_list, name="product_list"),
    path("c/<slug:slug>/", lists.category, name="category"),
    path("p/<slug:slug>/", catalog.product, name="product"),
    path("p/<slug:slug>/reviews/", reviews.reviews, name="reviews"),
    path("p/<slug:slug>/review/", reviews.review_start, name="review_start"),
    path("compare/", compare.compare, name="compare"),
    path("seen/", compare.seen, name="seen"),
    path("wishlist/", wishlist.wishlist, name="wishlist"),
    path("wishlist/add/", wishlist.wishlist_add, name="wishlist_add"),
    path("wishlist/remove/", wishlist.wishlist_remove, name="wishlist_remove"),
    path("offline/", installing.offline, name="offline"),
    path("cart/", cart.cart, name="cart"),
    path("cart/add/", cart.cart_add, name="cart_add"),
    path("cart/lines/<int:line_id>/", cart.cart_line, name="cart_line"),
    path("cart/coupon/", coupons.cart_coupon, name="cart_coupon"),
    path("checkout/", checkout.checkout, name="checkout"),
    path("checkout/quote/", checkout.checkout_quote, name="checkout_quote"),
    path("checkout/coupon/", checkout.checkout_coupon, name="checkout_coupon"),
    path("orders/find/", orders.order_find, name="order_find"),
    re_path(rf"{ORDER}/$", orders.order, name="order"),
    re_path(rf"{ORDER}/pay/$", orders.order_pay, name="order_pay"),
    re_path(rf"{ORDER}/cancel/$", orders.order_cancel, name="order_cancel"),
    re_path(rf"{ORDER}/return/$", orders.order_return, name="order_return"),
    re_path(rf"{ORDER}/reviews/$", reviews.order_reviews, name="order_reviews"),
    re_path(rf"{ORDER}/reviews/(?P<slug>[-a-zA-Z0-9_]+)/$", reviews.order_review, name="order_review"),
    re_path(rf"{ORDER}/returns/$", returns.order_returns, name="order_returns"),
    re_path(rf"{ORDER}/returns/(?P<number>\d{{1,4}})/withdraw/$", returns.return_withdraw, name="return_withdraw"),
    path("info/<slug:page>/", info.info, name="info"),
]
