"""The ledger's pages."""

from django.urls import path

from . import views

urlpatterns = [
    path("orders", views.orders),
    path("charges", views.charges),
]
