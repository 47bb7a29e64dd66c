"""What every HTTP service of foldlog shares: its address, its end, how it says what is wrong."""
