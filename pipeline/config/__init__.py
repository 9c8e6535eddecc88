"""Reading and checking the configuration."""

from pipeline.config.load import load_config
from pipeline.config.problems import ConfigProblems, Problem
from pipeline.config.schema import BusConfig, Config, PluginConfig, StreamConfig

__all__ = ["BusConfig", "Config", "ConfigProblems", "PluginConfig", "Problem", "StreamConfig", "load_config"]
