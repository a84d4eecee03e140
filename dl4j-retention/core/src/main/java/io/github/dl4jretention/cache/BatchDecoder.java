package io.github.dl4jretention.cache;

import io.github.dl4jretention.loss.RetentionLabels;
import io.github.dl4jretention.loss.fused.FloatMemory;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Reads what a {@link BatchEncoder} wrote. A token's classes lie side by side in memory: arrays of sequences are views
 * of {@code [time, examples, classes]}, those of SameDiff models are {@code [examples, time, classes]}. Padding is NaN.
 */
final class BatchDecoder {

    private final CacheCodec codec;
    private final CacheLayout layout;
    private final boolean inMemory;

    BatchDecoder(CacheCodec codec, CacheLayout layout) {
        this(codec, layout, true);
    }

    /** @param inMemory whether values are written straight into an array's memory where the backend allows it */
    BatchDecoder(CacheCodec codec, CacheLayout layout, boolean inMemory) {
        this.codec = codec;
        this.layout = layout;
        this.inMemory = inMemory;
    }

    /**
     * @param entries of the minibatch's sequences; their positions are moved
     * @param time    length of the minibatch, padding included; 0 where there is no padding
     * @throws IllegalArgumentException if there is no padding and the sequences differ in length
     */
    INDArray[] decode(ByteBuffer[] entries, int time) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            INDArray[] arrays = new INDArray[layout.outputs().size()];
            for (int i = 0; i < arrays.length; i++) {
                arrays[i] = decode(layout.outputs().get(i), entries, time);
            }
            return arrays;
        }
    }

    private INDArray decode(CacheLayout.Output output, ByteBuffer[] entries, int time) {
        int examples = entries.length;
        int vocabulary = output.vocabulary();
        int[] lengths = lengths(output, entries, time);
        int longest = longest(output, lengths, time);
        boolean exampleFirst = output.output().classAxis() < 0;
        INDArray array = exampleFirst
                ? Nd4j.createUninitialized(DataType.FLOAT, examples, longest, vocabulary)
                : Nd4j.createUninitialized(DataType.FLOAT, longest, examples, vocabulary);
        FloatMemory memory = inMemory && FloatMemory.isAccessible(array) ? FloatMemory.of(array) : null;
        INDArray rows = array.reshape('c', (long) examples * longest, vocabulary);
        float[] token = new float[vocabulary];
        float[] padding = new float[vocabulary];
        Arrays.fill(padding, Float.NaN);
        for (int example = 0; example < examples; example++) {
            for (int t = 0; t < longest; t++) {
                boolean given = t < lengths[example];
                if (given) {
                    codec.decode(entries[example], token);
                }
                long place = exampleFirst ? (long) example * longest + t : (long) t * examples + example;
                float[] row = given ? token : padding;
                if (memory != null) {
                    memory.put(place * vocabulary, row, 0, vocabulary);
                } else {
                    rows.putRow(place, Nd4j.createFromArray(row));
                }
            }
        }
        INDArray typed = array.castTo(layout.type());
        if (typed != array) {
            array.close();
        }
        if (output.rank() == 2) {
            return typed.reshape(examples, vocabulary);
        }
        return exampleFirst
                ? typed
                : output.output().classAxis() == 2 ? typed.permute(1, 0, 2) : typed.permute(1, 2, 0);
    }

    /**
     * Writes the minibatch's tokens into labels: samples as they are, if they take less room than distributions.
     *
     * @param entries as for {@link #decode(ByteBuffer[], int)}
     * @param labels  one for each output
     */
    void decode(ByteBuffer[] entries, int time, RetentionLabels[] labels) {
        for (int i = 0; i < labels.length; i++) {
            decode(layout.outputs().get(i), entries, time, labels[i]);
        }
    }

    private void decode(CacheLayout.Output output, ByteBuffer[] entries, int time, RetentionLabels labels) {
        int examples = entries.length;
        int vocabulary = output.vocabulary();
        int[] lengths = lengths(output, entries, time);
        int longest = longest(output, lengths, time);
        long[] shape = output.rank() == 2
                ? new long[] {examples, vocabulary}
                : output.output().classAxis() == 2
                        ? new long[] {examples, longest, vocabulary}
                        : new long[] {examples, vocabulary, longest};
        int named = codec.entries(vocabulary);
        boolean sampled = named > 0 && 1 + 2L * named < vocabulary;
        if (sampled) {
            labels.samples(layout.type(), named, shape);
        } else {
            labels.distributions(layout.type(), shape);
        }
        CacheCodec.NamedClasses classes = new CacheCodec.NamedClasses(named);
        float[] distribution = new float[sampled ? 0 : vocabulary];
        for (int example = 0; example < examples; example++) {
            for (int t = 0; t < longest; t++) {
                int token = t * examples + example;
                if (t >= lengths[example]) {
                    labels.putNothing(token);
                } else if (sampled) {
                    codec.decode(entries[example], vocabulary, classes);
                    labels.put(token, classes.rest, classes.ids, classes.logProbabilities, classes.size);
                } else {
                    codec.decode(entries[example], distribution);
                    labels.put(token, distribution);
                }
            }
        }
    }

    private static int[] lengths(CacheLayout.Output output, ByteBuffer[] entries, int time) {
        int[] lengths = Arrays.stream(entries).mapToInt(ByteBuffer::getInt).toArray();
        requireLengths(lengths, longest(output, lengths, time), output, time);
        return lengths;
    }

    private static int longest(CacheLayout.Output output, int[] lengths, int time) {
        return output.rank() == 3 && time > 0 ? time : lengths[0];
    }

    private static void requireLengths(int[] lengths, int longest, CacheLayout.Output output, int time) {
        for (int length : lengths) {
            if (time > 0 && output.rank() == 3 ? length > longest : length != longest) {
                throw new IllegalArgumentException("features: expected sequences of "
                        + (time > 0 ? "at most " : "one length, ") + longest + " tokens for output \""
                        + output.output().name() + "\", the cache has " + Arrays.toString(lengths));
            }
        }
    }
}
