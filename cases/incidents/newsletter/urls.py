"""Where the letter is sent from."""

from django.urls import path

from . import views

urlpatterns = [
    path("send", views.send),
]
