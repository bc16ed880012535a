from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.overview, name="account"),
    path("orders/", views.orders, name="account_orders"),
    path("addresses/", views.addresses, name="account_addresses"),
    path("addresses/add/", views.address_add, name="account_address_add"),
    path("addresses/<int:address_id>/", views.address_edit, name="account_address"),
    path("addresses/<int:address_id>/delete/", views.address_delete, name="account_address_delete"),
    path("addresses/<int:address_id>/default/", views.address_default, name="account_address_default"),
    path("profile/", views.profile, name="account_profile"),
    path("privacy/", views.privacy, name="account_privacy"),
    path("privacy/export/", views.export, name="account_export"),
    path("privacy/erase/", views.erase, name="account_erase"),
    path("reminders/", views.reminders, name="account_reminders"),
    path("", include("allauth.urls")),
]
