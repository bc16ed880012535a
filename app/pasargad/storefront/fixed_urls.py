"""What is no page, and has one address whatever language is spoken: for programs and for browsers themselves."""

from django.urls import path

from .views import beacon, info, installing, sitemap

urlpatterns = [
    path("manifest.webmanifest", installing.manifest, name="manifest"),
    path("sw.js", installing.service_worker, name="service_worker"),
    path("seen/view/", beacon.beacon, name="beacon"),
    path("health/warm", info.warm, name="health_warm"),
    path("sitemap.xml", sitemap.index, name="sitemap"),
    path("sitemap-pages.xml", sitemap.pages, name="sitemap_pages"),
    path("sitemap-products-<int:number>.xml", sitemap.products, name="sitemap_products"),
    path("robots.txt", info.robots, name="robots"),
    path(".well-known/security.txt", info.security, name="security_txt"),
]
