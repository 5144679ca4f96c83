"""What an A/B measurement found, to look at: pictures, a page to browse and a page for docs."""
