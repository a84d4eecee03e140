package io.github.dl4jretention.lm.onnx;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import onnx.Onnx.GraphProto;
import onnx.Onnx.ModelProto;
import onnx.Onnx.NodeProto;
import onnx.Onnx.TensorProto;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.samediff.frameworkimport.onnx.importer.OnnxFrameworkImporter;

/** Imports what PyTorch exported to ONNX, with the {@link NodeHook}s of this package, so that SameDiff can train it. */
public final class OnnxModels {

    private OnnxModels() {}

    public static SameDiff load(Path file) throws IOException {
        Path repaired = Files.createTempFile("repaired", ".onnx");
        try {
            Files.write(
                    repaired,
                    repair(ModelProto.parseFrom(Files.readAllBytes(file))).toByteArray());
            SameDiff imported = new OnnxFrameworkImporter().runImport(repaired.toString(), Map.of(), false);
            forgetRemovedOperations(imported);
            return imported.disableEagerMode();
        } finally {
            Files.delete(repaired);
        }
    }

    private static ModelProto repair(ModelProto model) {
        GraphProto.Builder graph = model.getGraph().toBuilder().clearNode();
        for (NodeProto node : model.getGraph().getNodeList()) {
            NodeProto.Builder named = node.toBuilder();
            for (int i = 0; i < node.getInputCount(); i++) {
                named.setInput(i, withoutColons(node.getInput(i)));
            }
            for (int i = 0; i < node.getOutputCount(); i++) {
                named.setOutput(i, withoutColons(node.getOutput(i)));
            }
            // A shape that a Constant node computes is not known when M2.1 maps the Reshape that takes it.
            if (node.getOpType().equals("Constant")) {
                graph.addInitializer(node.getAttribute(0).getT().toBuilder().setName(named.getOutput(0)));
            } else {
                graph.addNode(named);
            }
        }
        graph.getInitializerBuilderList().forEach(OnnxModels::repair);
        return model.toBuilder().setGraph(graph).build();
    }

    private static void repair(TensorProto.Builder tensor) {
        tensor.setName(withoutColons(tensor.getName()));
        // M2.1 reads booleans scrambled.
        if (tensor.getDataType() == TensorProto.DataType.BOOL.getNumber()) {
            for (byte value : tensor.getRawData().toByteArray()) {
                tensor.addInt32Data(value);
            }
            tensor.clearRawData().setDataType(TensorProto.DataType.INT32.getNumber());
        }
    }

    /** M2.1 cuts names at a colon; PyTorch calls weights {@code onnx::MatMul_12}. */
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
     * Turns weights, which come as constants, into variables: all floating-point constants of more than one element.
     *
     * @param fixed names of tables of floating-point numbers that are no weights, such as a mask that is added
     */
    public static void makeTrainable(SameDiff sd, String... fixed) {
        List<SDVariable> weights = sd.variables().stream()
                .filter(variable -> variable.isConstant() && variable.dataType().isFPType())
                .filter(variable -> variable.getArr().length() > 1)
                .filter(variable -> !List.of(fixed).contains(variable.name()))
                .toList();
        sd.convertToVariables(new ArrayList<>(weights));
    }
}
