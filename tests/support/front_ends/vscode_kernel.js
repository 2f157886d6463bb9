import { KernelManager, ServerConnection } from "@jupyterlab/services";

// Start a kernel on a Jupyter server, and return the connection to it.
window.startKernel = async (baseUrl) => {
  const wsUrl = baseUrl.replace("http", "ws");
  const serverSettings = ServerConnection.makeSettings({ baseUrl, wsUrl });
  const kernel = await new KernelManager({ serverSettings }).startNew({ name: "python3" });
  await kernel.info;
  return kernel;
};
