"""An MMDetection config: built, fitted to pretrained weights, checked, trained."""
