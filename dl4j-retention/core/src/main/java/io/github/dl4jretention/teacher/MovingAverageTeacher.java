package io.github.dl4jretention.teacher;

import io.github.dl4jretention.internal.ArrayStream;
import io.github.dl4jretention.internal.ChecksummedFile;
import io.github.dl4jretention.loss.LabelArrays;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.nd4j.autodiff.listeners.At;
import org.nd4j.autodiff.listeners.BaseListener;
import org.nd4j.autodiff.listeners.Listener;
import org.nd4j.autodiff.listeners.Loss;
import org.nd4j.autodiff.listeners.Operation;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * A teacher that follows its student slowly, {@code w = decay w + (1 - decay) student} after every iteration. Add its
 * {@link #listener()} to the student, or its {@link #sameDiffListener()} to a SameDiff model;
 * {@code Retention.finetune} does it by itself. Its identity is that of the network it started at and of the decay;
 * {@link #save} and {@link #restore} carry the average over a restart, without which it would start afresh. Averages of
 * HALF networks are kept in FLOAT.
 */
public final class MovingAverageTeacher extends NetworkTeacher {

    private final double decay;
    private final String sha256;
    private final Map<String, INDArray> averages = new TreeMap<>();
    private final TrainingListener listener = new BaseTrainingListener() {
        @Override
        public void iterationDone(Model model, int iteration, int epoch) {
            update(Map.of(PARAMS, model.params()));
        }
    };
    private final Listener sameDiffListener = new BaseListener() {
        @Override
        public boolean isActive(Operation operation) {
            return operation == Operation.TRAINING;
        }

        @Override
        public void iterationDone(SameDiff student, At at, MultiDataSet dataSet, Loss loss) {
            Map<String, INDArray> arrays = new TreeMap<>();
            for (String name : averages.keySet()) {
                if (!student.hasVariable(name)) {
                    throw new IllegalArgumentException(
                            "student: expected the teacher's variable \"" + name + "\", it has none of that name");
                }
                arrays.put(name, student.getVariable(name).getArr());
            }
            update(arrays);
        }
    };
    private boolean moved;

    MovingAverageTeacher(NetworkTeacher start, double decay) {
        super(start);
        if (!(decay >= 0 && decay < 1)) {
            throw new IllegalArgumentException("decay: expected a number of at least 0 and below 1, got " + decay);
        }
        this.decay = decay;
        this.sha256 = NetworkIdentity.sha256(List.of("movingAverage", Double.toString(decay), start.sha256()));
        start.parameters()
                .forEach((name, array) -> averages.put(
                        name, array.dataType() == DataType.FLOAT16 ? array.castTo(DataType.FLOAT) : array));
    }

    @Override
    public String sha256() {
        return sha256;
    }

    @Override
    public boolean isFrozen() {
        return false;
    }

    @Override
    public boolean dependsOnFeaturesOnly() {
        return false;
    }

    @Override
    public List<MovingAverageTeacher> movingAverages() {
        return List.of(this);
    }

    /** {@return what averages the student's parameters after each of its iterations; always the same listener} */
    public TrainingListener listener() {
        return listener;
    }

    /** {@return what averages the variables of a SameDiff student after each of its iterations; always the same listener} */
    public Listener sameDiffListener() {
        return sameDiffListener;
    }

    /** {@return a copy of the averaged parameters as one vector, in the order of the student's} */
    public INDArray params() {
        synchronized (model()) {
            requireOpen();
            INDArray[] copies = averages.values().stream()
                    .map(array -> array.dup('c').reshape(array.length()))
                    .toArray(INDArray[]::new);
            if (copies.length == 1) {
                return copies[0];
            }
            try {
                return Nd4j.concat(0, copies);
            } finally {
                Arrays.stream(copies).forEach(LabelArrays::release);
            }
        }
    }

    /** {@return the share of the average that stays in each iteration} */
    public double decay() {
        return decay;
    }

    /** {@return whether the average has been updated or restored since it started at its network} */
    public boolean hasMoved() {
        return moved;
    }

    /** The arrays themselves, by the names of the parameters. */
    Map<String, INDArray> averages() {
        return averages;
    }

    private void update(Map<String, INDArray> student) {
        synchronized (model()) {
            requireOpen();
            averages.forEach((name, average) -> {
                INDArray now = Objects.requireNonNull(student.get(name), name);
                if (now.length() != average.length()) {
                    throw new IllegalArgumentException("student: expected the teacher's " + average.length()
                            + " parameters \"" + name + "\", got shape " + Arrays.toString(now.shape()));
                }
                INDArray typed = now.castTo(average.dataType());
                try (INDArray share = typed.reshape(average.shape()).mul(1 - decay)) {
                    average.muli(decay).addi(share);
                }
                if (typed != now) {
                    typed.close();
                }
            });
            toNetwork();
        }
    }

    /** Averages of FLOAT and DOUBLE networks are the network's own arrays. */
    private void toNetwork() {
        moved = true;
        parameters().forEach((name, array) -> {
            if (array.dataType() == DataType.FLOAT16) {
                array.assign(averages.get(name));
            }
        });
    }

    /**
     * Writes the average to a file, completely or not at all.
     *
     * @param file replaced if it is there; its folder must exist
     * @throws IOException if it cannot be written; the message names the file
     */
    public void save(Path file) throws IOException {
        try (INDArray params = params()) {
            ChecksummedFile.write(file, out -> {
                out.writeUTF(sha256);
                ArrayStream.write(params, out);
            });
        }
    }

    /**
     * Continues from a saved average.
     *
     * @param file that {@link #save} wrote
     * @throws IOException if it cannot be read, is damaged, or is of another teacher: of another network at its start,
     *     or another decay; the message names it
     */
    public void restore(Path file) throws IOException {
        try (INDArray saved = ChecksummedFile.read(file, "a saved average", in -> {
            String of = in.readUTF();
            if (!of.equals(sha256)) {
                throw new IllegalArgumentException("expected one of the teacher " + sha256 + ", got one of " + of);
            }
            return ArrayStream.readArray(in, Files.size(file));
        })) {
            restore(saved);
        }
    }

    /**
     * Continues from {@link #params()} of another run.
     *
     * @param saved copied
     * @throws IllegalArgumentException if they are of another number
     */
    public void restore(INDArray saved) {
        synchronized (model()) {
            requireOpen();
            long length = averages.values().stream().mapToLong(INDArray::length).sum();
            if (saved.length() != length) {
                throw new IllegalArgumentException("saved: expected the teacher's " + length + " parameters, got shape "
                        + Arrays.toString(saved.shape()));
            }
            long from = 0;
            for (INDArray average : averages.values()) {
                INDArray part = saved.reshape(length).get(NDArrayIndex.interval(from, from + average.length()));
                average.assign(part.reshape('c', average.shape()));
                from += average.length();
            }
            toNetwork();
        }
    }

    @Override
    public void close() {
        synchronized (model()) {
            super.close();
            // Those of HALF networks are not the network's own.
            averages.values().forEach(LabelArrays::release);
        }
    }
}
