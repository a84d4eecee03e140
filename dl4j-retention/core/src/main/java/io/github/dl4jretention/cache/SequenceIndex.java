package io.github.dl4jretention.cache;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Finds sequences in shards: a hash table with open addressing whose ids stay in the mapped files, 16 to 32 bytes a
 * sequence.
 */
final class SequenceIndex {

    private static final long FREE = -1;

    private final List<Shard> shards;
    private final long[] table;

    SequenceIndex(List<Shard> shards) {
        this.shards = shards;
        long sequences = shards.stream().mapToLong(Shard::sequences).sum();
        if (sequences >= 1 << 29) {
            throw new IllegalStateException("cache: expected fewer than 2^29 sequences, got " + sequences);
        }
        table = new long[Integer.highestOneBit((int) Math.max(1, sequences)) << 2];
        Arrays.fill(table, FREE);
        for (int shard = 0; shard < shards.size(); shard++) {
            for (int sequence = 0; sequence < shards.get(shard).sequences(); sequence++) {
                SequenceId id = shards.get(shard).id(sequence);
                table[slot(id)] = (long) shard << 32 | sequence;
            }
        }
    }

    /** What was written of a sequence, from its beginning; null if it is not there. */
    @Nullable
    ByteBuffer find(SequenceId id) {
        long place = table[slot(id)];
        return place == FREE ? null : shards.get((int) (place >> 32)).entry((int) place);
    }

    /** The sequence's slot, or the free one where it would be. */
    private int slot(SequenceId id) {
        int slot = (int) id.low() & table.length - 1;
        while (table[slot] != FREE && !id(table[slot]).equals(id)) {
            slot = slot + 1 & table.length - 1;
        }
        return slot;
    }

    private SequenceId id(long place) {
        return shards.get((int) (place >> 32)).id((int) place);
    }
}
