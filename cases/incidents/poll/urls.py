"""What the page asks for."""

from django.urls import path

from . import views

urlpatterns = [
    path("export", views.export),
    path("status/<str:task>", views.status),
]
