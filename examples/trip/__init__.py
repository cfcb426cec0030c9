"""Books a trip: flight, hotel and car, or nothing at all."""
