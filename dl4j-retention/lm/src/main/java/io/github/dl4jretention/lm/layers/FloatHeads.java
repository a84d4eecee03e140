package io.github.dl4jretention.lm.layers;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/** Where the numbers of a head lie, and the keys and values of tokens before this minibatch's. */
final class FloatHeads {

    private final DecoderBlock block;
    private final Sequences sequences;
    private final FloatRows queryKeyValue;
    private final @Nullable FloatRows knownKeys;
    private final @Nullable FloatRows knownValues;

    FloatHeads(DecoderBlock block, Sequences sequences, FloatRows queryKeyValue, INDArray @Nullable [] known) {
        this.block = block;
        this.sequences = sequences;
        this.queryKeyValue = queryKeyValue;
        knownKeys = known == null ? null : FloatRows.of(known[0], block.keyValueWidth());
        knownValues = known == null ? null : FloatRows.of(known[1], block.keyValueWidth());
    }

    /** Adds rows of this minibatch to the keys and values that are known. */
    void remember(int from, int to) {
        if (knownKeys == null || knownValues == null) {
            return;
        }
        int columns = block.keyValueWidth();
        float[] row = new float[columns];
        for (int r = from; r < to; r++) {
            int at = r / sequences.time() * sequences.capacity() + sequences.past() + r % sequences.time();
            queryKeyValue.get(r, block.queryWidth(), row, 0, columns);
            knownKeys.put(at, row);
            queryKeyValue.get(r, block.queryWidth() + columns, row, 0, columns);
            knownValues.put(at, row);
        }
    }

    FloatRows query(FloatRows rows, int sequence, int head) {
        return ofSequence(rows, sequence, head * block.getHeadSize());
    }

    FloatRows newKeys(FloatRows rows, int sequence, int head) {
        return ofSequence(rows, sequence, block.queryWidth() + column(head));
    }

    FloatRows newValues(FloatRows rows, int sequence, int head) {
        return ofSequence(rows, sequence, block.queryWidth() + block.keyValueWidth() + column(head));
    }

    FloatRows keys(int sequence, int head) {
        return knownKeys == null ? newKeys(queryKeyValue, sequence, head) : known(knownKeys, sequence, head);
    }

    FloatRows values(int sequence, int head) {
        return knownValues == null ? newValues(queryKeyValue, sequence, head) : known(knownValues, sequence, head);
    }

    private int column(int head) {
        return head / (block.getHeads() / block.getKeyValueHeads()) * block.getHeadSize();
    }

    private FloatRows known(FloatRows rows, int sequence, int head) {
        int first = sequence * sequences.capacity();
        int column = column(head);
        return rows.part(first, first + sequences.total(), column, column + block.getHeadSize());
    }

    private FloatRows ofSequence(FloatRows rows, int sequence, int column) {
        int first = sequence * sequences.time();
        return rows.part(first, first + sequences.time(), column, column + block.getHeadSize());
    }
}
