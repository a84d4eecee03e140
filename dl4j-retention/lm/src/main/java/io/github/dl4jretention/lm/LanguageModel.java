package io.github.dl4jretention.lm;

import io.github.dl4jretention.Retention;
import io.github.dl4jretention.checkpoint.Provenance;
import io.github.dl4jretention.internal.DetachedNetwork;
import io.github.dl4jretention.internal.FrozenBase;
import io.github.dl4jretention.lm.huggingface.AdapterFolder;
import io.github.dl4jretention.lm.huggingface.FolderWriter;
import io.github.dl4jretention.lm.huggingface.ModelFolder;
import io.github.dl4jretention.lm.huggingface.NetworkParameters;
import io.github.dl4jretention.lm.huggingface.TokenizerFiles;
import io.github.dl4jretention.lm.layers.LowRankLayer;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.shade.jackson.core.JsonProcessingException;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

/**
 * A decoder language model in a folder as the Python world knows it: config.json, model.safetensors or its shards, and
 * the tokenizer's files. In comes an ordinary DL4J network, on which everything in this library works; out goes the same
 * kind of folder.
 *
 * <pre>{@code
 * LanguageModel model = LanguageModel.load(Path.of("SmolLM2-135M"));
 * MultiLayerNetwork student = Retention.attach(model.network(), conf);
 * student.fit(new TeacherIterator(train, Teacher.of(model.network())), 1);
 * model.withNetwork(student).save(Path.of("tuned"));
 * }</pre>
 *
 * <p><b>Architectures</b>, by model_type: llama (Llama 2, 3, 3.2, SmolLM2, TinyLlama), mistral, qwen2, qwen3, gpt2,
 * gpt_neox (Pythia). Weights may be F32, F16 or BF16; the network computes in FLOAT or DOUBLE. A key of config.json that
 * this library doesn't know to be harmless is refused by its name.
 *
 * <p><b>The network.</b> Input are token ids {@code [batch, time]} or {@code [batch, 1, time]}, output probabilities
 * {@code [batch, V, time]}. Its layers are a {@link io.github.dl4jretention.lm.layers.TokenEmbedding}, {@link
 * io.github.dl4jretention.lm.layers.DecoderBlock}s, a {@link io.github.dl4jretention.lm.layers.NormLayer} and an
 * {@link io.github.dl4jretention.loss.UnbiasedOutputLayer}, or a {@link io.github.dl4jretention.loss.TiedOutputLayer} if config.json ties the
 * embeddings. Its updater is Adam with a rate of 1e-5; {@link Retention#withUpdater} sets another. Dropout rates of
 * config.json are for pretraining, and aren't taken over: the network has no dropout.
 *
 * <p>Objects never change. The network belongs to the model and can be trained; {@link #save} writes its weights as they
 * are then.
 */
public final class LanguageModel {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    private final ModelFolder folder;
    private final MultiLayerNetwork network;
    private final Training training;
    private final ModelCard card;

    /**
     * What is known about the training.
     *
     * @param provenance JSON; null for none
     */
    private record Training(String loss, double coefficient, @Nullable String provenance) {

        static final Training UNKNOWN = new Training("not recorded", Double.NaN, null);
    }

    /** Shared by all models of the folder. */
    private final TokenizerHolder tokenizer;

    private LanguageModel(
            ModelFolder folder,
            TokenizerHolder tokenizer,
            MultiLayerNetwork network,
            Training training,
            ModelCard card) {
        this.folder = folder;
        this.tokenizer = tokenizer;
        this.network = network;
        this.training = training;
        this.card = card;
    }

    /**
     * {@return the model of a folder, with a FLOAT network} Weights are read from mapped memory, once.
     *
     * @param folder with config.json, and model.safetensors or its shards
     * @throws IOException if a file is missing, damaged or doesn't fit the others, if a weight is NaN or infinite, or if
     *     config.json asks for what this library doesn't compute. The message is one line that names the file, and the
     *     tensor or key; nothing is kept of what was loaded
     */
    public static LanguageModel load(Path folder) throws IOException {
        return load(folder, DataType.FLOAT);
    }

    /**
     * {@return the same as {@link #load(Path)}, with numbers of another type}
     *
     * @param folder   with config.json, and model.safetensors or its shards
     * @param dataType FLOAT or DOUBLE
     * @throws IOException as {@link #load(Path)} does
     */
    public static LanguageModel load(Path folder, DataType dataType) throws IOException {
        Objects.requireNonNull(folder, "folder");
        if (dataType != DataType.FLOAT && dataType != DataType.DOUBLE) {
            throw new IllegalArgumentException("dataType: expected FLOAT or DOUBLE, got " + dataType);
        }
        ModelFolder.Loaded loaded = ModelFolder.load(folder, dataType);
        return new LanguageModel(
                loaded.folder(), new TokenizerHolder(), loaded.network(), Training.UNKNOWN, ModelCard.UNKNOWN);
    }

    /**
     * {@return the model of a folder whose weights stay in half precision, if all of them are F16 or BF16: the base of
     * adapters, in half the memory} The network computes in FLOAT, and gives what that of {@link #load(Path)} does: weights
     * are widened a decoder block at a time, or a part of the vocabulary. They are frozen: the network has no parameters of
     * its own. {@link LowRankAdapters#attach} gives it some; teachers, evaluation and generation take it as it is, though
     * text is written more slowly, since each token widens every block. Set the updater, regularisation and recompute on
     * the network with adapters: what was set on this one before isn't taken over. A folder with F32 weights, and a backend other than
     * the CPU's, give what {@link #load(Path)} does.
     *
     * @param folder with config.json, and model.safetensors or its shards
     * @throws IOException as {@link #load(Path)} does
     */
    public static LanguageModel loadFrozen(Path folder) throws IOException {
        Objects.requireNonNull(folder, "folder");
        if (!LowRankLayer.widensHalves()) {
            return load(folder);
        }
        ModelFolder.Held held = ModelFolder.hold(folder);
        return new LanguageModel(
                held.folder(),
                new TokenizerHolder(),
                AdaptedNetworks.network(held.network(), held.parameters()),
                Training.UNKNOWN,
                ModelCard.UNKNOWN);
    }

    /** {@return the model's network, always the same one} */
    public MultiLayerNetwork network() {
        return network;
    }

    /**
     * {@return the folder's tokenizer, always the same one; for a byte-level model without tokenizer.json, the bytes of
     * UTF-8}
     *
     * @throws IOException if tokenizer.json can't be read, or is missing and the vocabulary isn't 256 bytes
     */
    public Tokenizer tokenizer() throws IOException {
        synchronized (tokenizer) {
            if (tokenizer.value == null) {
                tokenizer.value = makeTokenizer();
            }
            return tokenizer.value;
        }
    }

    private Tokenizer makeTokenizer() throws IOException {
        if (folder.tokens() != TokenizerFiles.NONE) {
            return Tokenizer.of(folder.tokens());
        }
        if (folder.vocabulary() != Tokenizer.bytes().vocabulary()) {
            throw new IOException("folder: expected tokenizer.json in " + folder.path()
                    + ", or a vocabulary of 256 bytes, got none and " + folder.vocabulary() + " tokens");
        }
        return Tokenizer.bytes();
    }

    /** Made when it's asked for: many programs need only the network. */
    private static final class TokenizerHolder {
        private @Nullable Tokenizer value;
    }

    /** {@return the longest sequence that the model was made for, in tokens} */
    public int contextLength() {
        return folder.contextLength();
    }

    /** {@return number of token ids} */
    public int vocabulary() {
        return folder.vocabulary();
    }

    /**
     * {@return this model with the weights of another network of the same layers, such as a tuned one}
     *
     * @param tuned a student, which is detached, or a network without retention; its parameters are used, not copied, so
     *     weights are those at the time of saving. Those of a network with adapters are merged at once, or, where this
     *     model's weights stay in half precision, when it's saved
     * @throws IllegalArgumentException if its parameters aren't those of this model
     */
    public LanguageModel withNetwork(MultiLayerNetwork tuned) {
        Objects.requireNonNull(tuned, "tuned");
        boolean student = lastLayer(tuned) instanceof RetentionOutputLayer;
        boolean adapted = LowRankAdapters.isAdapted(tuned);
        boolean held = adapted && AdaptedNetworks.requireBase(tuned).isHalf();
        if (held) {
            AdaptedNetworks.requireSame(AdaptedNetworks.requireBase(tuned), AdaptedNetworks.base(network));
        }
        MultiLayerNetwork plain = adapted && !held ? LowRankAdapters.merge(tuned) : tuned;
        if (!held) {
            requireLayers(plain);
        }
        return new LanguageModel(
                folder,
                tokenizer,
                student && (held || !adapted) ? DetachedNetwork.sharing(tuned) : plain,
                student ? training(tuned) : Training.UNKNOWN,
                card);
    }

    /**
     * Writes the adapters of this model's network as PEFT does, so that Python loads them: adapter_config.json, and
     * adapter_model.safetensors, whose header has the SHA-256 of the base. The folder appears at once and complete, or not
     * at all.
     *
     * @param adapted what {@link LowRankAdapters#attach} made of {@link #network}, or a student that was made of it
     * @param folder  not there yet, or empty
     * @throws IOException if it has files or can't be written
     * @throws IllegalArgumentException if the network has no adapters
     */
    public void saveAdapters(MultiLayerNetwork adapted, Path folder) throws IOException {
        AdapterFolder.write(
                folder,
                new AdapterFolder.Contents(
                        AdaptedNetworks.adapters(adapted),
                        AdaptedNetworks.requireBase(adapted).sha256()),
                this.folder);
    }

    /**
     * {@return this model's network with the adapters of a folder, which PEFT or {@link #saveAdapters} has written} It shares
     * the parameters of {@link #network}. The folder's dropout acts in training, but not on the output layer's adapter.
     *
     * @param folder with adapter_config.json and adapter_model.safetensors
     * @throws IOException if a file is missing, damaged or doesn't fit this model, if the adapters are another base's, or if
     *     adapter_config.json asks for what this library doesn't compute, such as DoRA; the message names the file and the
     *     key or tensor
     */
    public MultiLayerNetwork loadAdapters(Path folder) throws IOException {
        FrozenBase held = AdaptedNetworks.base(network);
        return AdaptedNetworks.attach(network, held, AdapterFolder.read(folder, held.sha256(), this.folder));
    }

    /**
     * {@return this model with what its README.md will say about data and results}
     *
     * @param card data, gain and forgetting
     */
    public LanguageModel withCard(ModelCard card) {
        return new LanguageModel(folder, tokenizer, network, training, Objects.requireNonNull(card, "card"));
    }

    private void requireLayers(MultiLayerNetwork tuned) {
        FrozenBase held = FrozenBase.whole(network.getLayerWiseConfigurations());
        List<NeuralNetConfiguration> expected =
                (held == null ? network.getLayerWiseConfigurations() : held.configuration()).getConfs();
        Layer[] got = tuned.getLayers();
        boolean fits = got != null && expected.size() == got.length;
        for (int i = 0; fits && i < expected.size(); i++) {
            NeuralNetConfiguration conf = expected.get(i);
            ParamInitializer mine = conf.getLayer().initializer();
            fits = mine.numParams(conf) == got[i].numParams()
                    && got[i].paramTable().keySet().equals(Set.copyOf(mine.paramKeys(conf.getLayer())));
        }
        if (!fits) {
            throw new IllegalArgumentException("tuned: expected the layers and parameters of the loaded model ("
                    + expected.size() + " layers, " + parameters() + " parameters), got others ("
                    + (got == null ? "not initialised" : got.length + " layers, " + tuned.numParams() + " parameters")
                    + ")");
        }
    }

    /** {@return number of the model's parameters, frozen ones too, without those of adapters} */
    public long parameters() {
        return folder.parameters();
    }

    private static org.deeplearning4j.nn.conf.layers.Layer lastLayer(MultiLayerNetwork network) {
        return network.getLayerWiseConfigurations()
                .getConf(network.getnLayers() - 1)
                .getLayer();
    }

    private static Training training(MultiLayerNetwork student) {
        RetentionOutputLayer head = (RetentionOutputLayer) lastLayer(student);
        RetentionConfiguration conf = head.getRetention();
        double coefficient = head.coefficientAt(student.getIterationCount(), student.getEpochCount());
        return new Training(conf.toString(), coefficient, provenance(student, head));
    }

    /** What a run noted, unless the student was trained on since. */
    private static String provenance(MultiLayerNetwork student, RetentionOutputLayer head) {
        try {
            if (head.getProvenance() != null) {
                JsonNode noted = MAPPER.readTree(head.getProvenance());
                if (noted.path("iteration").asInt(-1) == student.getIterationCount()) {
                    return head.getProvenance();
                }
            }
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(
                    "tuned: expected a provenance as JSON, got " + e.getOriginalMessage(), e);
        }
        return Provenance.of(
                        student,
                        "",
                        student.getLayerWiseConfigurations().getConf(0).getSeed())
                .toJson();
    }

    /**
     * Writes the model as a folder of the same files: the same tensor names, shapes, types and shards, with the network's
     * weights as they are now. If they are those that were loaded, every file is the same to the byte. If not, the
     * headers of the safetensors files say what made them, under the key {@value FolderWriter#PROVENANCE}, and README.md
     * is a model card. Adapters are merged, for as long as that takes, into a copy of the weights in FLOAT. The folder appears at once and complete, or not at all.
     *
     * @param folder not there yet, or empty
     * @throws IOException if it has files or can't be written, or if a weight isn't finite
     */
    public void save(Path folder) throws IOException {
        write(folder, null);
    }

    /**
     * The same as {@link #save(Path)} with another type of numbers.
     *
     * @param folder   not there yet, or empty
     * @param dataType of all weights in the files: FLOAT, HALF or BFLOAT16, to which they are rounded, ties to even
     * @throws IOException as {@link #save(Path)} does, or if a weight is too large for the type
     */
    public void save(Path folder, DataType dataType) throws IOException {
        String type =
                switch (dataType) {
                    case FLOAT -> "F32";
                    case HALF -> "F16";
                    case BFLOAT16 -> "BF16";
                    default -> throw new IllegalArgumentException(
                            "dataType: expected FLOAT, HALF or BFLOAT16, got " + dataType);
                };
        write(folder, type);
    }

    private void write(Path target, @Nullable String type) throws IOException {
        String base = folder.name();
        ObjectNode provenance = MAPPER.createObjectNode();
        provenance.put("base", base);
        provenance.put("data", card.data());
        if (!Double.isNaN(card.gain())) {
            provenance.put("gain", card.gain());
        }
        if (!Double.isNaN(card.forgetting())) {
            provenance.put("forgetting", card.forgetting());
        }
        if (training.provenance() != null) {
            provenance.set("provenance", MAPPER.readTree(training.provenance()));
        }
        FrozenBase held = FrozenBase.whole(network.getLayerWiseConfigurations());
        boolean adapted = LowRankAdapters.isAdapted(network);
        MultiLayerNetwork whole = adapted ? LowRankAdapters.merge(network) : network;
        try {
            new FolderWriter(
                            folder,
                            held == null
                                    ? new NetworkParameters(whole)
                                    : new NetworkParameters(held.configuration(), held.parameters()),
                            type,
                            MAPPER.writeValueAsString(provenance),
                            card.markdown(base, training.loss(), training.coefficient()))
                    .write(target);
        } finally {
            if (adapted) {
                whole.params().close();
            }
        }
    }
}
