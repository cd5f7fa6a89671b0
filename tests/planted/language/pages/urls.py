"""Where the pages are."""

from django.urls import path

from pages import views

urlpatterns = [
    path("echo", views.echo),
    path("fresh", views.fresh),
    path("fails", views.fails),
    path("computed", views.computed),
    path("orders", views.orders),
]
