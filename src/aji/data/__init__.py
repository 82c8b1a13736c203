"""Published data in its many forms, as the canonical columns: documents `text`, conversations `messages`."""

from aji.data.load import DataArguments, load_conversations, load_documents, load_splits


__all__ = ["DataArguments", "load_conversations", "load_documents", "load_splits"]
