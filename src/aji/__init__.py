"""aji: a language model raised from raw text to an assistant, one recipe per stage, every stage measured."""
