"""Can these weights represent the map at all? One module an architecture."""
