"""The addresses of the shop."""

from django.urls import path

from shop import views

urlpatterns = [
    path("", views.home),
    path("login", views.log_in),
    path("cart", views.add_to_cart),
    path("bestsellers", views.bestsellers),
    path("logout", views.log_out),
    path("logout-everywhere", views.log_out_everywhere),
]
