"""Where payments are made."""

from django.urls import path

from . import views

urlpatterns = [
    path("pay", views.pay),
]
