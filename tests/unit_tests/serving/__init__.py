"""Tests of the service and its client, over real HTTP on the loopback interface."""
