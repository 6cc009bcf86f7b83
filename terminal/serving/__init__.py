"""What every page server of the house needs: problems, people, sessions, the guard, words, assets and live events."""
