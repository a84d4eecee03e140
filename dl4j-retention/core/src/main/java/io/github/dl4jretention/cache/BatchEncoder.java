package io.github.dl4jretention.cache;

import io.github.dl4jretention.loss.LabelArrays;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.bytedeco.javacpp.FloatPointer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.concurrency.AffinityManager.Location;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * Writes what a teacher gives for a minibatch as one entry for each sequence: for every output the number of tokens,
 * then the tokens in the order of time. What is drawn at random follows from the seed and the sequence.
 */
final class BatchEncoder {

    private final CacheCodec codec;
    private final long seed;

    BatchEncoder(CacheCodec codec, long seed) {
        this.codec = codec;
        this.seed = seed;
    }

    /**
     * @param id     of the sequence
     * @param tokens in all outputs
     * @param bytes  what is written
     */
    record Entry(SequenceId id, long tokens, ByteBuffer bytes) {}

    /**
     * @param layout           of the arrays
     * @param logProbabilities one array for each output
     * @param sequences        of the minibatch
     * @param examples         which of them
     */
    List<Entry> encode(
            CacheLayout layout, INDArray[] logProbabilities, BatchSequences sequences, List<Integer> examples) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            List<Rows> outputs = new ArrayList<>();
            try {
                for (int i = 0; i < logProbabilities.length; i++) {
                    outputs.add(rows(layout.outputs().get(i), logProbabilities[i], sequences.ids().length));
                }
                List<Entry> entries = new ArrayList<>();
                for (int example : examples) {
                    entries.add(entry(outputs, sequences, example));
                }
                return entries;
            } finally {
                outputs.forEach(rows -> LabelArrays.release(rows.values()));
            }
        }
    }

    /**
     * One output's tokens.
     *
     * @param values {@code [examples * time, vocabulary]}, FLOAT: what the codec's encoder takes
     * @param time   tokens of an example
     */
    private record Rows(String name, INDArray values, int time, int rank, CacheCodec.Encoder encoder) {}

    private Rows rows(CacheLayout.Output layout, INDArray array, int examples) {
        int classAxis = layout.output().classAxis(array.rank());
        if (array.rank() != layout.rank()
                || array.size(classAxis) != layout.vocabulary()
                || array.size(0) != examples) {
            throw new IllegalArgumentException("teacher: expected " + examples + " examples of rank " + layout.rank()
                    + " with " + layout.vocabulary() + " classes on axis " + classAxis + " of output \""
                    + layout.output().name() + "\", got shape " + Arrays.toString(array.shape()));
        }
        INDArray last = classAxis == array.rank() - 1 ? array : array.permute(0, 2, 1);
        int time = array.rank() == 2 ? 1 : (int) last.size(1);
        INDArray typed = last.castTo(DataType.FLOAT);
        INDArray values = typed.dup('c').reshape((long) examples * time, layout.vocabulary());
        if (typed != last) {
            typed.close();
        }
        if (codec.sampledAt().isPresent()) {
            values.divi(codec.sampledAt().getAsDouble());
            // Encoders divide by the sum; the largest may be too small for an exponential at low temperatures.
            try (INDArray largest = values.max(1)) {
                values.subiColumnVector(largest);
            }
            values = Transforms.exp(values, false);
        }
        Nd4j.getAffinityManager().ensureLocation(values, Location.HOST);
        return new Rows(layout.output().name(), values, time, layout.rank(), codec.encoder(layout.vocabulary()));
    }

    private Entry entry(List<Rows> outputs, BatchSequences sequences, int example) {
        SequenceId id = sequences.ids()[example];
        SplittableRandom random = new SplittableRandom(seed ^ id.high() ^ Long.rotateLeft(id.low(), 32));
        int[] lengths = new int[outputs.size()];
        long bytes = 0;
        for (int i = 0; i < lengths.length; i++) {
            lengths[i] = length(outputs.get(i), sequences, example);
            bytes += Integer.BYTES
                    + (long) lengths[i]
                            * codec.maxBytes((int) outputs.get(i).values().size(1));
        }
        ByteBuffer out = ByteBuffer.allocate(Math.toIntExact(bytes));
        for (int i = 0; i < lengths.length; i++) {
            Rows rows = outputs.get(i);
            FloatPointer values = (FloatPointer) rows.values().data().addressPointer();
            float[] token = new float[(int) rows.values().size(1)];
            out.putInt(lengths[i]);
            for (int t = 0; t < lengths[i]; t++) {
                values.position(((long) example * rows.time() + t) * token.length);
                values.get(token);
                rows.encoder().encode(token, random, out);
            }
        }
        return new Entry(id, Arrays.stream(lengths).asLongStream().sum(), out.flip());
    }

    private static int length(Rows rows, BatchSequences sequences, int example) {
        if (sequences.time() == 0 || rows.rank() == 2) {
            return rows.time();
        }
        if (rows.time() != sequences.time()) {
            throw new IllegalArgumentException("features mask: expected the length of the teacher's output \""
                    + rows.name() + "\", " + rows.time() + ", got " + sequences.time());
        }
        return sequences.lengths()[example];
    }
}
