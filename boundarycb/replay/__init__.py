"""What is shown of a run when it is over, or while it goes on, in the viewer: lean samples, and pages of them."""

from boundarycb.replay.frames import encode_scene, encode_view
from boundarycb.replay.page import Bundle, make_bundle, make_page

__all__ = ["Bundle", "encode_scene", "encode_view", "make_bundle", "make_page"]
