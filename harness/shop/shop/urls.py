"""The shop's pages."""

from django.urls import path

from shop import views

urlpatterns = [
    path("orders/<str:number>", views.order),
]
