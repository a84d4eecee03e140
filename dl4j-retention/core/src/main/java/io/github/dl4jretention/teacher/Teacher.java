package io.github.dl4jretention.teacher;

import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.loss.RetentionLabels;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.OptionalDouble;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/**
 * What a student is held near: token distributions as log-probabilities in nats, at temperature 1. Made of a network as
 * it is now, of several ({@link #weighted}), of the student's own average ({@link #movingAverage}), or of one that is
 * corrected toward the labels ({@link #corrected}).
 *
 * <p>The network inside never trains: it has no updater state and no gradients, runs in inference mode (dropout off),
 * and shares nothing with the network that it was made of, and with a student only what {@link #sharing} says. Safe for
 * use by several threads, one at a time.
 *
 * <p>Close a teacher that is no longer needed: its parameters lie in native memory, which Java's garbage collector knows
 * little of. A closed teacher throws an {@link IllegalStateException} when it's asked.
 */
public abstract class Teacher implements AutoCloseable {

    /** For teachers that get their values elsewhere. */
    protected Teacher() {}

    /**
     * {@return a frozen copy of a network}
     *
     * @param pretrained a network that ends in softmax cross-entropy, see {@link SoftmaxOutput}; a student must be
     *     detached first
     * @throws IllegalArgumentException if its last layer is another one
     */
    public static Teacher of(MultiLayerNetwork pretrained) {
        Objects.requireNonNull(pretrained, "pretrained");
        return NetworkTeacher.of(pretrained, slots -> LayerParameters.COPIED);
    }

    /**
     * {@return a frozen copy of a graph}
     *
     * @param pretrained a graph; a student must be detached first
     * @param outputs    names of the outputs to teach, which are softmax cross-entropy, see {@link SoftmaxOutput};
     *     default: all
     * @throws IllegalArgumentException if an output does not exist or is another layer
     */
    public static Teacher of(ComputationGraph pretrained, String... outputs) {
        Objects.requireNonNull(pretrained, "pretrained");
        return NetworkTeacher.of(pretrained, slots -> LayerParameters.COPIED, outputs);
    }

    /**
     * {@return a frozen copy of a SameDiff model}
     *
     * @param pretrained   the model
     * @param logits       the variable of the logits {@code [..., V]}, classes on the last axis
     * @param placeholders what the arrays of a batch's features are given to, in their order
     * @throws IllegalArgumentException if a variable does not exist or is no placeholder
     */
    public static Teacher of(SameDiff pretrained, String logits, String... placeholders) {
        Objects.requireNonNull(pretrained, "pretrained");
        return FrozenSameDiff.of(pretrained, logits, Arrays.asList(placeholders));
    }

    /**
     * {@return a frozen copy of a network with parameters in half precision, in half the memory} Each layer's are
     * widened before it is used, into an array that all layers share, as large as the largest needs it. It computes in
     * the network's own type with weights that are rounded to 11 bits, and has an identity of its own:
     * {@code Retention.attach(network, conf, teacher)}.
     *
     * @param pretrained a network of type FLOAT or DOUBLE, as {@link #of(MultiLayerNetwork)} takes it
     * @throws IllegalArgumentException if it is of another type, or a parameter is larger than 65504
     */
    public static Teacher ofHalf(MultiLayerNetwork pretrained) {
        Objects.requireNonNull(pretrained, "pretrained");
        return NetworkTeacher.of(pretrained, slots -> new HalfParameters(slots, pretrained.params()));
    }

    /**
     * {@return the same as {@link #ofHalf(MultiLayerNetwork)}, of a graph} Vertices that have parameters and are no
     * layers keep full precision.
     *
     * @param pretrained a graph of type FLOAT or DOUBLE, as {@link #of(ComputationGraph, String...)} takes it
     * @param outputs    names of the outputs to teach; default: all
     * @throws IllegalArgumentException if it is of another type, a parameter is larger than 65504, or an output does
     *     not exist or is another layer
     */
    public static Teacher ofHalf(ComputationGraph pretrained, String... outputs) {
        Objects.requireNonNull(pretrained, "pretrained");
        return NetworkTeacher.of(pretrained, slots -> new HalfParameters(slots, pretrained.params()), outputs);
    }

    /**
     * {@return the same as {@link #of(MultiLayerNetwork)}, without a copy: it uses the network's own parameters} Before each
     * use their checksums are compared, so that a change of any of them makes the teacher throw a {@link TeacherException}
     * instead of giving other values. It's for a network that nobody trains, such as the base of low-rank adapters.
     *
     * @param pretrained a network that ends in softmax cross-entropy; it must stay open
     * @throws IllegalArgumentException if its last layer is another one
     */
    public static Teacher sharing(MultiLayerNetwork pretrained) {
        Objects.requireNonNull(pretrained, "pretrained");
        return NetworkTeacher.of(pretrained, slots -> SharedParameters.all(slots, pretrained.params()));
    }

    /**
     * {@return the same as {@link #sharing(MultiLayerNetwork)}, of a graph} Vertices that have parameters and are no layers
     * are copied.
     *
     * @param pretrained a graph; it must stay open
     * @param outputs    names of the outputs to teach, as in {@link #of(ComputationGraph, String...)}
     * @throws IllegalArgumentException if an output does not exist or is another layer
     */
    public static Teacher sharing(ComputationGraph pretrained, String... outputs) {
        Objects.requireNonNull(pretrained, "pretrained");
        return NetworkTeacher.of(pretrained, slots -> SharedParameters.all(slots, pretrained.params()), outputs);
    }

    /**
     * {@return the same as {@link #of(MultiLayerNetwork)}, without a copy of what is frozen in the student} These layers
     * use the student's own parameters; all others are copied. Frozen are layers in a
     * {@link org.deeplearning4j.nn.conf.layers.misc.FrozenLayer} or FrozenLayerWithBackprop, and layers whose updaters are
     * all {@code Sgd(0)}. The identity is that of {@code of(pretrained)}. Before each use the checksums of the shared parameters are compared, so that a change of any
     * of them, by {@code setLearningRate} and training, or by {@code setParams}, makes the teacher throw a
     * {@link TeacherException} instead of giving other values.
     *
     * @param pretrained what the student was made of; not needed afterwards
     * @param student    whose frozen layers have the pretrained network's parameters, bit for bit
     * @throws IllegalArgumentException if they have others, or there are none
     */
    public static Teacher sharing(MultiLayerNetwork pretrained, MultiLayerNetwork student) {
        Objects.requireNonNull(pretrained, "pretrained");
        Objects.requireNonNull(student, "student");
        List<LayerSlot> ofStudent = LayerSlot.of(student.getLayerWiseConfigurations());
        return NetworkTeacher.of(
                pretrained, slots -> SharedParameters.frozen(ofStudent, pretrained.params(), student.params()));
    }

    /**
     * {@return the same as {@link #sharing(MultiLayerNetwork, MultiLayerNetwork)}, of a graph}
     *
     * @param pretrained what the student was made of; not needed afterwards
     * @param student    whose frozen layers have the pretrained graph's parameters, bit for bit
     * @param outputs    names of the outputs to teach, as in {@link #of(ComputationGraph, String...)}
     * @throws IllegalArgumentException if they have others, there are none, or an output does not exist or is another
     *     layer
     */
    public static Teacher sharing(ComputationGraph pretrained, ComputationGraph student, String... outputs) {
        Objects.requireNonNull(pretrained, "pretrained");
        Objects.requireNonNull(student, "student");
        List<LayerSlot> ofStudent = LayerSlot.of(student.getConfiguration(), student);
        return NetworkTeacher.of(
                pretrained,
                slots -> SharedParameters.frozen(ofStudent, pretrained.params(), student.params()),
                outputs);
    }

    /**
     * {@return the mixture of several teachers, {@code p0 = sum_i w_i p_i}} For forward KL the gradient is that of the
     * weighted sum of the divergences from each. Closing the mixture closes the teachers.
     *
     * @param teachers of the same outputs and vocabulary, at least one
     * @param weights  one for each, finite and at least 0, not all 0; they are divided by their sum
     * @throws IllegalArgumentException if the numbers or the outputs do not fit, or one gives samples of a temperature
     *     that is not 1
     */
    public static Teacher weighted(List<Teacher> teachers, double... weights) {
        return new WeightedTeacher(teachers, weights);
    }

    /**
     * {@return the exponential moving average of a student's parameters, {@code w = decay w + (1 - decay) student}
     * after every iteration, starting at a pretrained network} Source: Tarvainen and Valpola, Mean teachers, arXiv
     * 1703.01780.
     *
     * @param start the pretrained network, as {@link #of(MultiLayerNetwork)} takes it
     * @param decay in [0, 1); at 0.99 the average is over about 100 iterations
     * @throws IllegalArgumentException if its last layer is no softmax cross-entropy, or the decay is outside of its
     *     range
     */
    public static MovingAverageTeacher movingAverage(MultiLayerNetwork start, double decay) {
        return new MovingAverageTeacher(NetworkTeacher.of(start, slots -> LayerParameters.COPIED), decay);
    }

    /**
     * {@return the same as {@link #movingAverage(MultiLayerNetwork, double)}, of a graph}
     *
     * @param start   the pretrained graph, as {@link #of(ComputationGraph, String...)} takes it
     * @param decay   in [0, 1)
     * @param outputs names of the outputs to teach; default: all
     * @throws IllegalArgumentException if an output does not exist or is another layer, or the decay is outside of its
     *     range
     */
    public static MovingAverageTeacher movingAverage(ComputationGraph start, double decay, String... outputs) {
        return new MovingAverageTeacher(NetworkTeacher.of(start, slots -> LayerParameters.COPIED, outputs), decay);
    }

    /**
     * {@return the same as {@link #movingAverage(MultiLayerNetwork, double)}, of a SameDiff model's variables}
     *
     * @param start        the pretrained model
     * @param decay        in [0, 1)
     * @param logits       the variable of the logits {@code [..., V]}, classes on the last axis
     * @param placeholders what the arrays of a batch's features are given to, in their order
     * @throws IllegalArgumentException if a variable does not exist or is no placeholder, or the decay is outside of
     *     its range
     */
    public static MovingAverageTeacher movingAverage(
            SameDiff start, double decay, String logits, String... placeholders) {
        return new MovingAverageTeacher(FrozenSameDiff.of(start, logits, Arrays.asList(placeholders)), decay);
    }

    /**
     * {@return another teacher, with an identity of its own, whose distribution p is this one's mixed with the label's,
     * {@code q = (1 - alpha) p + alpha y}, token by token, so that the label is preferred by a margin of at least tau}
     *
     * <ul>
     *   <li>Where another class a is the most probable,
     *       {@code alpha = (p(a) - p(label) + tau) / (1 + p(a) - p(label))}, so that {@code q(label) = q(a) + tau};
     *   <li>where the label is the most probable already, its probability is raised by tau, to 1 at most:
     *       {@code alpha = min(1, tau / (1 - p(label)))}.
     * </ul>
     *
     * <p>Closing it closes this teacher too.
     *
     * <p>With it the divergence alone, at a large coefficient, trains the new task. The correction acts at temperature
     * 1; tokens that the label mask leaves out are not corrected. Source: Belcak et al., Minifinetuning: Low-Data
     * Generation Domain Adaptation through Corrective Self-Distillation, arXiv 2506.15702, the tau-correction; the
     * second case is as in the authors' implementation.
     *
     * @param tau the margin, in (0, 1]
     * @throws IllegalArgumentException if it is outside of its range, or this teacher gives samples: the correction
     *     needs every class
     */
    public Teacher corrected(double tau) {
        return new CorrectedTeacher(this, tau);
    }

    /** {@return its identity, 64 hexadecimal digits} See {@link NetworkIdentity}. */
    public abstract String sha256();

    /**
     * {@return whether its values stay as they are while a student trains} Only then may it be asked ahead of time, on
     * another thread. Default false.
     */
    public boolean isFrozen() {
        return false;
    }

    /** {@return the outputs that it teaches, in the order of its values' arrays} */
    public abstract List<TeacherOutput> outputs();

    /**
     * {@return whether its values follow from the features alone, the same at any time; only then can they be cached}
     */
    public boolean dependsOnFeaturesOnly() {
        return true;
    }

    /**
     * {@return the temperature at which its values are a random sample of its distribution; empty where they are the
     * distribution itself} A student of samples needs forward KL at that temperature.
     */
    public OptionalDouble sampledAt() {
        return OptionalDouble.empty();
    }

    /**
     * {@return whether each class has the teacher's own probability, rather than a share of what others leave; token
     * weights that need the label's probability refuse a teacher that doesn't}
     */
    public boolean givesEveryClass() {
        return sampledAt().isEmpty();
    }

    /**
     * {@return how its values are kept where they are not its network's own: two teachers of one identity
     * and one encoding give the same values; default empty}
     */
    public String encoding() {
        return "";
    }

    /** {@return the moving averages that it is made of, itself among them: what of it has a state; default none} */
    public List<MovingAverageTeacher> movingAverages() {
        return List.of();
    }

    /**
     * Log-probabilities of every output; label masks play no part. Tokens of which the network makes no numbers are NaN:
     * who knows the masks refuses them where they count.
     *
     * @param features      the network's inputs
     * @param featuresMasks their masks; null for none
     * @return for each output {@code [batch, classes]}, {@code [batch, classes, time]} or, for NWC and SameDiff,
     *     {@code [batch, time, classes]}; new arrays outside of all workspaces, which the caller may free: the teacher
     *     keeps none, and none is a view of what it keeps
     */
    public abstract INDArray[] logProbabilities(INDArray[] features, INDArray @Nullable [] featuresMasks);

    /**
     * {@return log-probabilities of the first output for a single input, a new array}
     *
     * @param features     the network's only input
     * @param featuresMask its mask; null for none
     */
    public INDArray logProbabilities(INDArray features, @Nullable INDArray featuresMask) {
        return logProbabilities(new INDArray[] {features}, featuresMask == null ? null : new INDArray[] {featuresMask})[
                0];
    }

    /**
     * {@return what a student is held near on a batch: its log-probabilities, unless they are to depend on the labels}
     * They are new arrays, as those of {@link #logProbabilities(INDArray[], INDArray[])}.
     *
     * @param batch plain, without the teacher's values
     */
    public INDArray[] values(MultiDataSet batch) {
        return logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArrays());
    }

    /**
     * Writes what a student is held near on a batch into the labels that it will see. This copies {@link #values}; a
     * teacher that can write where its values are needed makes no array of its own.
     *
     * @param batch   plain, without the teacher's values
     * @param outputs one for each of {@link #outputs}
     */
    protected void teach(MultiDataSet batch, RetentionLabels[] outputs) {
        INDArray[] values = values(batch);
        try {
            for (int i = 0; i < values.length; i++) {
                outputs[i].put(values[i]);
            }
        } finally {
            // Last, for values may be views of one array.
            for (INDArray array : values) {
                LabelArrays.release(array);
            }
        }
    }

    /**
     * Frees the native memory and the files that the teacher holds, those of the teachers that it's made of too. A student's
     * parameters stay. A second call does nothing.
     */
    @Override
    public void close() {
        // Most that users write hold neither.
    }
}
