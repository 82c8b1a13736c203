"""The embedded world: everything the laptop profile learns from, and the truth about it."""

from aji.world.arguments import WorldArguments
from aji.world.build import World, build_world, write_world
from aji.world.crawl import write_crawl


__all__ = ["World", "WorldArguments", "build_world", "write_crawl", "write_world"]
