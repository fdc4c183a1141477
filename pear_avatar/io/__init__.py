"""Files in and out: videos, pictures, arrays and pickles; written whole or not at all."""
