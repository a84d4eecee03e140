package io.github.dl4jretention.lm;

import com.sun.management.OperatingSystemMXBean;
import io.github.dl4jretention.internal.FrozenBase;
import io.github.dl4jretention.internal.ThawedLayer;
import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.lm.layers.DecoderBlock;
import io.github.dl4jretention.lm.layers.FeedForward;
import java.lang.management.ManagementFactory;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.javacpp.Pointer;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;

/**
 * What a finetuning with retention takes of memory, by parts, before it starts: with Adam, in a FinetuningRun that
 * doesn't {@link io.github.dl4jretention.checkpoint.FinetuningRun.Builder#keepStudent keep the student} it was given.
 * Of P parameters, all of which train:
 *
 * <pre>
 * student 1 P, gradients 1 P, Adam's two moments 2 P, teacher 1 P (in half precision 0.5 P and one block)
 * </pre>
 *
 * <p>and 1 P more where gradients of several minibatches are added up. Of P parameters beside which A of adapters train:
 *
 * <pre>
 * weights 1 P, in half precision 0.5 P and two blocks; adapters 1 A, gradients 1 A, Adam's two moments 2 A; no teacher
 * </pre>
 *
 * <p>Beside that, the teacher's log-probabilities of
 * two minibatches of {@code tokens x V} numbers, since a minibatch's are made while the student trains on the one before;
 * what the student's blocks keep until the backward pass (see {@link DecoderBlock}), and a twentieth of it, which DL4J's
 * workspace has in reserve; logits of the few tokens that the output layers of student and teacher compute at a time, with the
 * weights that they widen for them; and Java with its libraries.
 *
 * <pre>{@code
 * MemoryEstimate estimate = MemoryEstimate.builder(model).batch(4).sequenceLength(256).halfTeacher(true).build();
 * System.out.println(estimate);
 * estimate.requireFits();
 * }</pre>
 */
public final class MemoryEstimate {

    /** Java's heap as far as a training uses it, compiled code, threads and native libraries, as measured. */
    private static final long JAVA = 500L << 20;

    /** Tokens whose logits exist at a time, of a large vocabulary; twice as many where weights are in half precision. */
    private static final int TOKENS = 64;

    /** Logits that exist at a time, of a small vocabulary. */
    private static final int LOGITS = 1 << 20;

    /** Token ids whose weights in half precision are widened at a time, by each thread. */
    private static final int WIDENED = 2048;

    /** DL4J takes a twentieth more memory than the activations of its first minibatch. */
    private static final double WORKSPACE = 1.05;

    private static final double MEGABYTE = 1e6;

    private final Map<String, Long> parts = new LinkedHashMap<>();

    private MemoryEstimate(Builder builder) {
        MultiLayerConfiguration network = builder.model.network().getLayerWiseConfigurations();
        FrozenBase frozen = FrozenBase.whole(network);
        boolean half = frozen != null && frozen.isHalf();
        long width = network.getDataType().width();
        long parameters = builder.model.parameters();
        long trained = builder.trained < 0 ? parameters : builder.trained;
        Blocks blocks = new Blocks(network, builder.recompute);
        long halves = parameters * Short.BYTES + blocks.largest * width;
        if (half) {
            // A student's thread and its teacher's widen a block each.
            parts.put("weights in half precision", halves + blocks.largest * width);
            parts.put("adapters", builder.trained < 0 ? 0 : trained * width);
        } else {
            parts.put("student", (parameters + (trained == parameters ? 0 : trained)) * width);
        }
        long moving = half && builder.trained < 0 ? 0 : trained;
        parts.put("gradients", moving * width);
        if (builder.accumulate > 1) {
            parts.put("sums of gradients", moving * width);
        }
        parts.put("Adam's moments", 2 * moving * width);
        parts.put("teacher", half || builder.sharedTeacher ? 0 : builder.halfTeacher ? halves : parameters * width);
        long tokens = (long) builder.batch * builder.sequenceLength;
        parts.put("teacher's values", 2 * tokens * builder.model.vocabulary() * Float.BYTES);
        parts.put("activations", (long) (tokens * (WORKSPACE * blocks.kept + blocks.working) * width));
        boolean halfTeacher = half || builder.halfTeacher && !builder.sharedTeacher;
        parts.put("logits", (logits(half, builder, blocks) + logits(halfTeacher, builder, blocks)) * width);
        parts.put("Java", JAVA);
    }

    /** An output layer's logits at a time, what it adds up for their tokens, and its weights that are widened for them. */
    private static long logits(boolean half, Builder builder, Blocks blocks) {
        long vocabulary = builder.model.vocabulary();
        long tokens = Math.max(TOKENS * (half ? 2L : 1), LOGITS / vocabulary);
        long widened = half ? Math.min(WIDENED, vocabulary) : 0;
        return tokens * vocabulary + (tokens + Workers.ofMachine().products() * widened) * blocks.width;
    }

    /** What is kept of a token in a training step, in numbers. */
    private static final class Blocks {

        private long kept;
        private long working;
        private long largest;
        private long width;

        Blocks(MultiLayerConfiguration network, boolean recompute) {
            for (NeuralNetConfiguration layer : network.getConfs()) {
                if (ThawedLayer.innermost(layer.getLayer()) instanceof DecoderBlock block) {
                    long ofBlock = kept(block);
                    kept += block.getWidth() + (recompute || block.isRecompute() ? 0 : ofBlock);
                    // Forward what is kept, too, and its gradients on the way back.
                    working = Math.max(working, 2 * ofBlock + 4L * block.getWidth());
                    largest = Math.max(largest, block.initializer().numParams(block));
                    width = Math.max(width, block.getWidth());
                }
            }
        }

        /** As {@link DecoderBlock}'s documentation has it, beside the input. */
        private static long kept(DecoderBlock block) {
            long heads = (long) (block.getHeads() + block.getKeyValueHeads()) * block.getHeadSize();
            return 2 * heads
                    + (block.isQueryKeyNorm() ? heads : 0)
                    + block.getHeads()
                    + block.getWidth()
                    + (block.getFeedForward() == FeedForward.SWIGLU ? 2L : 1L) * block.getHidden();
        }
    }

    /**
     * {@return a builder; defaults: minibatches of 4 sequences of 256 tokens, a teacher in full precision}
     *
     * @param model to be finetuned
     */
    public static Builder builder(LanguageModel model) {
        return new Builder(model);
    }

    /** {@return bytes by what takes them, in a fixed order} */
    public Map<String, Long> parts() {
        return new LinkedHashMap<>(parts);
    }

    /** {@return bytes of all parts} */
    public long total() {
        return parts.values().stream().mapToLong(bytes -> bytes).sum();
    }

    /**
     * Refuses what can't fit.
     *
     * @throws IllegalStateException if it's more than the machine, its container or JavaCPP's limit has; the message has
     *     the parts, and what helps
     */
    public void requireFits() {
        long machine = ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getTotalMemorySize();
        requireFits(machine, "the machine has");
        if (Pointer.maxPhysicalBytes() > 0) {
            requireFits(
                    Pointer.maxPhysicalBytes(),
                    "-Dorg.bytedeco.javacpp.maxphysicalbytes (by default twice -Xmx) allows");
        }
    }

    void requireFits(long bytes, String limit) {
        if (total() > bytes) {
            throw new IllegalStateException(
                    "memory: expected at most the " + megabytes(bytes) + " MB that " + limit + ", got " + this
                            + "; what helps: smaller minibatches that are accumulated, recompute, a teacher in half "
                            + "precision, or adapters");
        }
    }

    private static String megabytes(long bytes) {
        return String.format(Locale.ROOT, "%,.0f", bytes / MEGABYTE);
    }

    /** {@return one line: the total, and what takes how much, in MB} */
    @Override
    public String toString() {
        StringBuilder text = new StringBuilder(megabytes(total())).append(" MB: ");
        parts.forEach((name, bytes) -> {
            if (bytes > 0) {
                text.append(name).append(' ').append(megabytes(bytes)).append(", ");
            }
        });
        return text.substring(0, text.length() - 2);
    }

    /** Says what is to be trained and how. */
    public static final class Builder {

        private final LanguageModel model;
        private int batch = 4;
        private int sequenceLength = 256;
        private int accumulate = 1;
        private boolean recompute;
        private boolean halfTeacher;
        private boolean sharedTeacher;
        private long trained = -1;

        private Builder(LanguageModel model) {
            this.model = model;
        }

        /**
         * @param batch sequences of a minibatch
         * @return this builder
         */
        public Builder batch(int batch) {
            this.batch = batch;
            return this;
        }

        /**
         * @param sequenceLength tokens of a sequence
         * @return this builder
         */
        public Builder sequenceLength(int sequenceLength) {
            this.sequenceLength = sequenceLength;
            return this;
        }

        /**
         * @param accumulate minibatches of a step; default 1
         * @return this builder
         */
        public Builder accumulate(int accumulate) {
            this.accumulate = accumulate;
            return this;
        }

        /**
         * @param recompute whether blocks keep their input alone, beside those that do so anyway; default false
         * @return this builder
         */
        public Builder recompute(boolean recompute) {
            this.recompute = recompute;
            return this;
        }

        /**
         * @param halfTeacher whether the teacher is one of {@link io.github.dl4jretention.teacher.Teacher#ofHalf}; default
         *     false
         * @return this builder
         */
        public Builder halfTeacher(boolean halfTeacher) {
            this.halfTeacher = halfTeacher;
            return this;
        }

        /**
         * @param sharedTeacher whether the teacher uses the student's own frozen parameters; default false
         * @return this builder
         */
        public Builder sharedTeacher(boolean sharedTeacher) {
            this.sharedTeacher = sharedTeacher;
            return this;
        }

        /**
         * @param parameters that train beside the model's own, which are frozen then: those of adapters; default: the
         *     model's own train, all of them
         * @return this builder
         */
        public Builder trained(long parameters) {
            this.trained = parameters;
            return this;
        }

        /** {@return the estimate} */
        public MemoryEstimate build() {
            return new MemoryEstimate(this);
        }
    }
}
