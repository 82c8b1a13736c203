"""From a crawl to a corpus: blocks for datatrove's pipelines that say of every page why it was dropped."""
