package io.github.dl4jretention.lm.onnx;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import onnx.Onnx.GraphProto;
import onnx.Onnx.ModelProto;
import onnx.Onnx.NodeProto;
import onnx.Onnx.TensorProto;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.samediff.frameworkimport.ImportGraph;
import org.nd4j.samediff.frameworkimport.onnx.importer.OnnxFrameworkImporter;
import org.nd4j.samediff.frameworkimport.onnx.ir.OnnxIRGraph;
import org.nd4j.samediff.frameworkimport.registry.OpMappingRegistry;
import org.nd4j.shade.protobuf.InvalidProtocolBufferException;

/**
 * Loads language models that PyTorch exported to ONNX, so that SameDiff computes the same numbers and can train them.
 *
 * <pre>{@code
 * SameDiff pretrained = OnnxModels.load(Path.of("model.onnx"));
 * OnnxModels.makeTrainable(pretrained);   // weights are loaded as constants
 * }</pre>
 *
 * <p>DL4J's own import fails on such models, or gets them wrong without an error. This one repairs the file's graph in
 * memory, and imports some nodes by the {@link NodeHook}s of this package. Variables and placeholders keep the names
 * they have in the file, except that {@code ::} becomes {@code _}; axes stay as they are.
 *
 * <p>What can't be loaded is refused by an {@link IOException} whose message names the file and says what to do.
 */
public final class OnnxModels {

    private static final String EXPORT = "export the model by torch.onnx.export(model, inputs, \"model.onnx\")";

    private OnnxModels() {}

    /**
     * Loads a model.
     *
     * @param file exported by {@code torch.onnx.export}, opset 11 or 13, at most 2 GiB
     * @return the model; its weights are constants, see {@link #makeTrainable}
     * @throws IOException if the file is missing, isn't an ONNX model, keeps weights in other files, or holds operations
     *     that DL4J can't import
     */
    public static SameDiff load(Path file) throws IOException {
        GraphProto graph = repair(read(file).getGraph());
        try {
            SameDiff imported = run(graph);
            forgetRemovedOperations(imported);
            return imported.disableEagerMode();
        } catch (RuntimeException | NoClassDefFoundError e) {
            throw new IOException(
                    file + ": DL4J can't import this model: "
                            + String.valueOf(e.getMessage()).replaceAll("\\s+", " "),
                    e);
        }
    }

    private static ModelProto read(Path file) throws IOException {
        if (!Files.exists(file)) {
            throw new NoSuchFileException(file.toString(), null, "there's no such file");
        }
        if (Files.isDirectory(file)) {
            throw new IOException(file + " is a folder: pass the .onnx file in it");
        }
        if (Files.size(file) > Integer.MAX_VALUE) {
            throw new IOException(
                    file + " is larger than 2 GiB, the most that an ONNX file can be read from: expected at" + " most "
                            + Integer.MAX_VALUE + " bytes, got " + Files.size(file));
        }
        ModelProto model;
        try (InputStream bytes = new BufferedInputStream(Files.newInputStream(file))) {
            model = ModelProto.parseFrom(bytes);
        } catch (InvalidProtocolBufferException e) {
            throw new IOException(file + " isn't an ONNX model: " + EXPORT, e);
        }
        if (model.getGraph().getNodeCount() == 0) {
            throw new IOException(file + " isn't an ONNX model, or has no operations: " + EXPORT);
        }
        for (TensorProto tensor : model.getGraph().getInitializerList()) {
            if (tensor.getDataLocation() == TensorProto.DataLocation.EXTERNAL) {
                throw new IOException(file + " keeps its weights in other files, such as " + tensor.getName()
                        + ": write one file by onnx.save(onnx.load(\"model.onnx\"), \"one-file.onnx\")");
            }
        }
        return model;
    }

    /** As OnnxFrameworkImporter does it, which takes nothing but the name of a file. */
    @SuppressWarnings({"unchecked", "rawtypes"}) // the two sides name their type parameters in another order
    private static SameDiff run(GraphProto graph) {
        OnnxFrameworkImporter importer = new OnnxFrameworkImporter();
        OpMappingRegistry registry = importer.getRegistry();
        ImportGraph imports = importer.getOnnxImporter();
        return imports.importGraph(new OnnxIRGraph(graph, registry), null, null, new HashMap<>(), registry);
    }

    private static GraphProto repair(GraphProto broken) {
        GraphProto.Builder graph = broken.toBuilder().clearNode();
        for (NodeProto node : broken.getNodeList()) {
            NodeProto.Builder named = node.toBuilder();
            for (int i = 0; i < node.getInputCount(); i++) {
                named.setInput(i, withoutColons(node.getInput(i)));
            }
            for (int i = 0; i < node.getOutputCount(); i++) {
                named.setOutput(i, withoutColons(node.getOutput(i)));
            }
            // A shape that a Constant node computes is not known when DL4J maps the Reshape that takes it.
            if (node.getOpType().equals("Constant")) {
                graph.addInitializer(node.getAttribute(0).getT().toBuilder().setName(named.getOutput(0)));
            } else {
                graph.addNode(named);
            }
        }
        graph.getInitializerBuilderList().forEach(OnnxModels::repair);
        return graph.build();
    }

    private static void repair(TensorProto.Builder tensor) {
        tensor.setName(withoutColons(tensor.getName()));
        // DL4J M2.1 reads booleans scrambled.
        if (tensor.getDataType() == TensorProto.DataType.BOOL.getNumber()) {
            for (byte value : tensor.getRawData().toByteArray()) {
                tensor.addInt32Data(value);
            }
            tensor.clearRawData().setDataType(TensorProto.DataType.INT32.getNumber());
        }
    }

    /** DL4J M2.1 cuts names at a colon; PyTorch calls weights {@code onnx::MatMul_12}. */
    private static String withoutColons(String name) {
        return name.replace("::", "_");
    }

    /** Variables still name the operations that hooks replaced; building the gradient would stumble over them. */
    private static void forgetRemovedOperations(SameDiff sd) {
        sd.getVariables().values().stream()
                .filter(variable -> variable.getInputsForOp() != null)
                .forEach(variable -> variable.setInputsForOp(new ArrayList<>(variable.getInputsForOp().stream()
                        .filter(sd.getOps()::containsKey)
                        .toList())));
    }

    /**
     * Turns a loaded model's weights into variables, which training changes: all constants of floating-point numbers
     * with more than one element.
     *
     * @param model from {@link #load}
     * @param fixed names of tables that aren't weights and stay constants, such as a mask that is added to the scores
     * @throws IllegalArgumentException if a fixed name isn't a variable of the model
     */
    public static void makeTrainable(SameDiff model, String... fixed) {
        List<String> constants = List.of(fixed);
        for (String name : constants) {
            if (!model.hasVariable(name)) {
                throw new IllegalArgumentException(
                        "fixed: expected names of the model's variables, got \"" + name + "\"");
            }
        }
        List<SDVariable> weights = model.variables().stream()
                .filter(variable -> variable.isConstant() && variable.dataType().isFPType())
                .filter(variable -> variable.getArr().length() > 1)
                .filter(variable -> !constants.contains(variable.name()))
                .toList();
        model.convertToVariables(new ArrayList<>(weights));
    }
}
