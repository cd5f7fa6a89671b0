"""Where the letter is asked for."""

from django.urls import path

from . import views

urlpatterns = [
    path("letter", views.letter),
]
